"""What an ADD fetches from elsewhere, put into `in/`.

In: an input of the task. Out: its tar in the shared directory.
"""

from conveyor.builder.courier_io import Exchange
from conveyor.builder.courier_remote import HttpInput, RemoteInput
from conveyor.builder.courier_task import CourierTask
from conveyor.builder.inputs_git_tree import write_git_tree
from conveyor.builder.inputs_http import write_http
from conveyor.builder.remote_hosts import Gate
from conveyor.builder.remote_http import Visitor
from conveyor.config.remote_source import shown_url


async def write_remote(task: CourierTask, exchange: Exchange, item: RemoteInput) -> None:
    """Fetch it, where the administrator allows that.

    Raises:
        CourierError: It cannot be had.
    """
    url = item.url if isinstance(item, HttpInput) else task.git[item.repository].url
    gate = Gate(policy=task.remote, place=f"{item.at}: {shown_url(url)}")
    visitor = Visitor(gate=gate, limits=task.limits, ca_file=task.ca_file)
    with exchange.create_input(item.file) as out:
        if isinstance(item, HttpInput):
            await write_http(item, out, visitor)
        else:
            await write_git_tree(item, task.git[item.repository], out, visitor)
