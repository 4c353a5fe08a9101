"""`ocp-appliance schema`."""

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of cluster.yaml.

    Editors with the YAML language server check and complete a file whose first line is
    `# yaml-language-server: $schema=cluster.schema.json`, where the schema was saved under that name.
    """
    from appliance.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
