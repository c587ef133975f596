"""The environments that functions run in."""

from local.cloud import Cloud
from tests.stack.waiting import eventually


def end_environments(cloud: Cloud, provider: str) -> None:
    """Of a provider's function: the next call has a new one. They end when its memory is set, be it as it was."""
    functions = cloud.client("lambda")
    part = f"Provision{provider.title().replace('-', '')}Function"
    function = next(one for one in functions.list_functions()["Functions"] if part in one["FunctionName"])
    name = {"FunctionName": function["FunctionName"]}
    functions.update_function_configuration(**name, MemorySize=function["MemorySize"])
    eventually(
        lambda: functions.get_function_configuration(**name),
        lambda now: (now["State"], now["LastUpdateStatus"]) == ("Active", "Successful"),
    )
