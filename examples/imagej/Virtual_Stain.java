import ij.IJ;
import ij.ImagePlus;
import ij.Macro;
import ij.Prefs;
import ij.gui.GenericDialog;
import ij.io.FileSaver;
import ij.io.Opener;
import ij.plugin.PlugIn;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Sends the plane in front, or what a rectangle on it selects, to 'vsf-edge serve' and shows brightfield and virtual
 * stains. Research use only.
 */
public class Virtual_Stain implements PlugIn {
  private static final int SECONDS = 300;

  @Override
  public void run(String argument) {
    ImagePlus image = IJ.getImage(); // says so itself where there is none
    boolean inMacro = Macro.getOptions() != null;
    GenericDialog dialog = new GenericDialog("Virtual Stain");
    dialog.addStringField("service", Prefs.get("vsf.service", "http://127.0.0.1:8765"), 30);
    dialog.addChoice("kind", new String[] {"field", "cell"}, "field");
    dialog.addStringField("token", "", 30);
    dialog.showDialog();
    if (dialog.wasCanceled()) return;
    String service = dialog.getNextString();
    String kind = dialog.getNextChoice();
    String token = dialog.getNextString();
    Prefs.set("vsf.service", service);
    try {
      IJ.showStatus("Staining " + image.getTitle() + " ...");
      ImagePlus stained = new Opener().deserialize(ask(service + "/stain?kind=" + kind, token, plane(image)));
      if (stained == null) throw new IOException("the answer is no image");
      stained.setTitle("stained " + image.getTitle());
      stained.show();
      // what was measured, and of which model, is the image's info: Image > Show Info...
      if (kind.equals("cell")) IJ.log(stained.getInfoProperty());
    } catch (IOException error) {
      String sentence = "The service did not stain it: " + error.getMessage();
      IJ.log(sentence);
      if (!inMacro) IJ.error("Virtual Stain", sentence); // a macro that nobody watches must not wait for a click
    }
  }

  /** Gives the counts of the plane in front, or of the selection on it, with the calibration, as the bytes of a TIFF. */
  private static byte[] plane(ImagePlus image) {
    ImagePlus plane = new ImagePlus(image.getTitle(), image.getProcessor().crop());
    plane.setCalibration(image.getCalibration());
    return new FileSaver(plane).serialize();
  }

  /** Gives what the service says of an error: {"error":"..."}. */
  private static String sentence(String json) {
    Matcher said = Pattern.compile("\"error\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(json);
    return said.find() ? said.group(1).replaceAll("\\\\(.)", "$1") : json;
  }

  private static byte[] ask(String address, String token, byte[] body) throws IOException {
    HttpURLConnection call = (HttpURLConnection) new URL(address).openConnection();
    call.setRequestMethod("POST");
    call.setDoOutput(true);
    call.setFixedLengthStreamingMode(body.length);
    call.setReadTimeout(1000 * SECONDS);
    call.setRequestProperty("Content-Type", "image/tiff");
    if (!token.isEmpty()) call.setRequestProperty("Authorization", "Bearer " + token);
    try (OutputStream out = call.getOutputStream()) {
      out.write(body);
    }
    if (call.getResponseCode() != 200) {
      InputStream why = call.getErrorStream();
      throw new IOException(why == null ? "" : sentence(new String(why.readAllBytes(), StandardCharsets.UTF_8)));
    }
    try (InputStream in = call.getInputStream()) {
      return in.readAllBytes();
    }
  }
}
