"""The candidate's side of the conversation. All that it needs is imported before the candidate is loaded."""

import sys
from collections.abc import Callable
from ctypes import CDLL
from functools import partial
from typing import Any

from torch_ref.candidate.calling import InProcess
from torch_ref.candidate.channel import Channel
from torch_ref.candidate.loading import load
from torch_ref.cases.case import Case, Numbers
from torch_ref.errors import ContractError, UnusableError, plain, summary
from torch_ref.precision import PRECISIONS


def serve(channel: Channel, name: str) -> None:
    """Load the candidate of this name and answer each message, in turn.

    Raises EOFError when the parent is gone, OSError or ValueError when the channel is of no use any more.
    """
    flush_all = CDLL(None).fflush  # what C code has printed, so that it is noted
    function = _loaded(name)
    if isinstance(function, str):
        return channel.send({"unusable": function}, {})
    channel.send({"unusable": None}, {})
    while True:
        header, arrays = channel.receive()
        if given := header["given"]:  # else as before
            candidate = InProcess(function, tuple(given["results"]), given["options"])
            case_of = partial(
                Case,
                seed=0,
                sizes={},
                differentiated=tuple(given["differentiated"]),
                precision=PRECISIONS[given["precision"]],
                gradient=given["gradient"],
                packs={
                    whole: tuple(pack) if isinstance(pack, list) else pack for whole, pack in given["packs"].items()
                },
            )
        _one_thread()
        reply, answers = _reply(candidate, case_of(arguments=arrays, order=header["order"]), header["number"])
        flush_all(None)
        channel.send({**reply, "asked": header["asked"]}, answers)


def _loaded(name: str) -> Callable[..., Any] | str:
    """The function, or why there is none."""
    try:
        return load(name)
    except UnusableError as error:
        return str(error)
    except BaseException as error:  # noqa: BLE001  # whatever their file does on import
        return f"{plain(name.rpartition(':')[0])}: fails on import: {summary(error)}"


def _reply(candidate: InProcess, case: Case, number: int) -> tuple[dict[str, Any], Numbers]:
    """The answer to a call, or the seconds that so many take."""
    try:
        if number:
            return {"seconds": candidate.time(case, number)}, {}
        answer = candidate(case)
    except ContractError as error:
        return {"breach": str(error)}, {}
    except BaseException as error:  # noqa: BLE001  # Ctrl-C is not for this process: it is theirs
        return {"breach": f"raised {summary(error)}"}, {}
    return {"problems": answer.problems, "printed": answer.printed}, answer.arrays


def _one_thread() -> None:
    """As autograd computes, if the candidate has imported torch by now."""
    if set_number := getattr(sys.modules.get("torch"), "set_num_threads", None):
        set_number(1)
