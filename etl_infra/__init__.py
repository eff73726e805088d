"""What exists: the Pulumi components of the pipeline, stages built from components, components from documents."""
