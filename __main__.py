"""The pipeline of one environment, as a table of contents: settings, providers, stages, access, exports."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "containers"))

from etl_infra.access import PipelineAccess, PipelineAccessArgs
from etl_infra.exports import export_outputs
from etl_infra.extract import Extract, ExtractArgs
from etl_infra.load import Load, LoadArgs
from etl_infra.operations import Operations, OperationsArgs
from etl_infra.providers import providers
from etl_infra.settings import load_settings
from etl_infra.transform import Transform, TransformArgs

stack = load_settings()
opts = providers(stack)

operations = Operations("operations", OperationsArgs.of(stack), opts)
extract = stack.extract and Extract(
    "extract", ExtractArgs(stack=stack, settings=stack.extract, operations=operations), opts
)
transform = (
    stack.transform
    and extract
    and Transform("transform", TransformArgs(stack=stack, settings=stack.transform, extract=extract), opts)
)
load = stack.load and Load("load", LoadArgs(stack=stack, settings=stack.load, operations=operations), opts)
access = stack.access and PipelineAccess(
    "access",
    PipelineAccessArgs(stack=stack, settings=stack.access, operations=operations, extract=extract, load=load),
    opts,
)

export_outputs(stack, extract, transform, load, access)
