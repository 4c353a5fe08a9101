"""`ocp-appliance schema`."""

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of cluster.yaml.

    Save it as cluster.schema.json next to cluster.yaml. Editors with the YAML language server
    then check and complete a cluster.yaml that has this first line:

    \b
    # yaml-language-server: $schema=cluster.schema.json
    """
    from appliance.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
