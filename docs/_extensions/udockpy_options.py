"""Two directives that document the program from the program itself, so that they cannot disagree.

`udockpy-command` shows the usage and options of a verb, `udockpy-settings` the settings.
"""

from __future__ import annotations

from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from udockpy import config
from udockpy.cli.group import group


def definition(term: str, text: str) -> nodes.definition_list_item:
    return nodes.definition_list_item(
        "",
        nodes.term("", "", nodes.literal("", term)),
        nodes.definition("", nodes.paragraph("", text)),
    )


class Command(Directive):
    """Usage, description and options of one verb, or of one of a verb's own."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        verb = self.arguments[0]
        command: click.Command | None = group
        for word in verb.split():
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
            if command is None:
                raise self.error(f"udockpy has no verb {verb}")
        assert command is not None
        context = click.Context(command, info_name=f"udockpy {verb}")
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        records = [
            record
            for parameter in command.get_params(context)
            if (record := parameter.get_help_record(context)) is not None
        ]
        return [
            nodes.literal_block(usage, usage, language="text"),
            *(nodes.paragraph("", text) for text in (command.help or "").split("\n\n")),
            nodes.definition_list("", *(definition(*record) for record in records)),
        ]


class Settings(Directive):
    """Every setting: its name, its environment variable, its default and its meaning."""

    def run(self) -> list[nodes.Node]:
        items = []
        for setting in config.SETTINGS:
            default = setting.default or "empty"
            text = f"{setting.help}. Default: {default}. Environment: {config.variable(setting)}."
            items.append(definition(setting.name, text))
        return [nodes.definition_list("", *items)]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("udockpy-command", Command)
    app.add_directive("udockpy-settings", Settings)
    return {"parallel_read_safe": True}
