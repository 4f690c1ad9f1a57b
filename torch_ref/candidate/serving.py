"""The candidate's side of the conversation. All that it needs is imported before the candidate is loaded."""

import os
import sys
from collections.abc import Callable, Mapping
from ctypes import CDLL
from functools import partial
from typing import Any

from torch_ref.candidate.calling import InProcess
from torch_ref.candidate.channel import Channel
from torch_ref.candidate.forms import place_of
from torch_ref.candidate.kinds import form_of_operators
from torch_ref.candidate.loading import found
from torch_ref.cases.case import Case, Numbers
from torch_ref.errors import ContractError, UnusableError, plain, summary
from torch_ref.precision import PRECISIONS


def serve(channel: Channel, name: str) -> None:
    """Load the candidate of this name and answer each message, in turn.

    Raises EOFError when the parent is gone, OSError or ValueError when the channel is of no use any more.
    """
    flush_all = CDLL(None).fflush  # what C code has printed, so that it is noted
    own = os.getpid()
    whole_name, function = _loaded(name)
    if os.getpid() != own:
        os._exit(0)
    if not whole_name:
        return channel.send({"unusable": function}, {})
    about = {"name": whole_name, "place": place_of(function), "form": form_of_operators(function)}
    channel.send({"unusable": None, **about}, {})
    while True:
        header, arrays = channel.receive()
        if given := header["given"]:  # else as before
            candidate = InProcess(function, tuple(given["results"]), given["options"])
            case_of = _like(given)
        _one_thread()
        reply, answers = _reply(candidate, case_of(arguments=arrays, order=header["order"]), header["number"])
        if os.getpid() != own:  # the candidate has forked, and this is the copy
            os._exit(0)
        flush_all(None)
        channel.send({**reply, "asked": header["asked"]}, answers)


def _like(given: Mapping[str, Any]) -> Callable[..., Case]:
    """What makes a case of its arguments and their order, the rest being as said."""
    packs = {whole: tuple(pack) if isinstance(pack, list) else pack for whole, pack in given["packs"].items()}
    names, precision = tuple(given["differentiated"]), PRECISIONS[given["precision"]]
    more = {name: given[name] for name in ("gradient", "alone", "step")} | {"asked": tuple(given["asked"])}
    return partial(Case, seed=0, sizes={}, differentiated=names, precision=precision, packs=packs, **more)


def _loaded(name: str) -> tuple[str, Any]:
    """The function after its whole name; or why there is none, after no name."""
    try:
        return found(name)
    except UnusableError as error:
        return "", str(error)
    except BaseException as error:  # noqa: BLE001  # whatever their file does on import
        return "", f"{plain(name.rpartition(':')[0])}: fails on import: {summary(error)}"


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
    told = {name: getattr(answer, name) for name in ("problems", "printed", "unused", "formats")}
    return told, answer.arrays


def _one_thread() -> None:
    """As autograd computes, if the candidate has imported torch by now."""
    if set_number := getattr(sys.modules.get("torch"), "set_num_threads", None):
        set_number(1)
