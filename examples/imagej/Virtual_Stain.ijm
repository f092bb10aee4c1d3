// Virtually stains the image in front, which was opened from a file, with 'vsf-edge serve'.
// The file must lie in a folder that was given to it with --folder. Research use only.
//
// Install: Plugins > Macros > Install..., or drop this file on the ImageJ window and press Run.
// From another macro: runMacro("/path/to/Virtual_Stain.ijm", "http://127.0.0.1:8765");

service = getArgument();
if (service == "") service = "http://127.0.0.1:8765";
if (nImages == 0) stop("Open a brightfield image first.");
path = getInfo("image.directory") + getInfo("image.filename");
if (!File.exists(path)) stop("Save this image first: the service reads its file.");
if (!startsWith(File.openUrlAsString(service + "/healthz"), "{"))
  stop("Nothing answers at " + service + ": start 'vsf-edge serve', or name its address.");
before = nImages;
// ImageJ takes an address for a TIFF by its end
open(service + "/stain.tif?path=" + call("java.net.URLEncoder.encode", path, "UTF-8") + "&open=.tif");
if (nImages == before)
  stop("Not stained: does " + path + " lie in a --folder of 'vsf-edge serve', and is it a grey brightfield image?");
rename("stained " + File.getName(path));

function stop(sentence) {
  if (getArgument() == "") exit(sentence);
  print(sentence); // a macro that nobody watches must not wait for a click
  exit();
}
