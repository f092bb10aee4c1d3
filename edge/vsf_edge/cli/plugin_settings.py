"""Lists in a verb's help what can be set about each source and detector."""

from __future__ import annotations

import click


class ListsSettings(click.Command):
    """A verb that takes ``-O KEY=VALUE`` for its source and ``-D KEY=VALUE`` for its detector."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the settings of every plugin; one that cannot be loaded is left to ``vsf-edge doctor``."""
        from vsf_edge.errors import EdgeError
        from vsf_edge.plugins import plugins
        from vsf_edge.settings import describe_settings

        for kind, option in (("source", "-O"), ("detector", "-D")):
            for plugin in plugins().of(kind):
                try:
                    described = describe_settings(plugin.settings())
                except EdgeError:
                    continue
                with formatter.section(f"{kind} {plugin.name}, {option}"):
                    formatter.write_dl(
                        [
                            (f"{item.name}={item.default}", f"{item.text} [{item.allowed or 'text'}]")
                            for item in described
                        ]
                    )
