"""`choreo pack`: an agent made ready to be given to others."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from choreo.agent import Agent
from choreo.cli.measure import ReportOptions, knows_no_environment, replay_of
from choreo.errors import UsageError
from choreo.packing import Health, pack_run
from choreo.packing.write import check_free
from choreo.record import pack as packs
from choreo.record.hub import check_name, push
from choreo.report.data_report import data_report
from choreo.report.provenance import Provenance
from choreo.report.verdicts import codebook_verdict, findings, headline_table, model_verdicts


@dataclass(frozen=True, kw_only=True)
class PackOptions(ReportOptions):
    """Make a pack of an agent: what acts, a card, the skill report, a film, hashes of all."""

    out: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")] = None
    """Folder of the pack, which must not be there yet. Not needed to push a pack."""
    license: str = "mit"
    """Identifier of the licence of the weights, as hubs know them."""
    push: str | None = None
    """OWNER/NAME on the hub to upload the pack to, made where it is missing (pip install
    'choreo[hub]')."""
    private: bool = False
    """Make that repository for its owner alone, where it is new."""


def pack(arguments: list[str]) -> None:
    """`choreo pack RUN OUT` and `choreo pack PACK --push OWNER/NAME`."""
    options = tyro.cli(PackOptions, args=arguments, prog="choreo pack")
    if options.push is not None:
        check_name(options.push)
    folder = options.run if options.out is None else _packed(options, options.out)
    if options.out is None and (options.push is None or not packs.is_pack(folder)):
        raise UsageError(f"name the folder of the pack: choreo pack {options.run} OUT")
    sizes = {name: file["bytes"] for name, file in packs.check(folder)["files"].items()}
    if not options.json:  # before anything can go wrong with a hub
        print(f"{folder}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB", flush=True)
    address = None if options.push is None else push(folder, options.push, options.private)
    if options.json:
        print(json.dumps({"folder": str(folder), "files": sizes, "address": address}))
    elif address is not None:
        print(address)


def _packed(options: PackOptions, folder: Path) -> Path:
    check_free(folder)
    agent = options.agent()
    address = None if options.push is None else f"hf://{options.push}"

    def measure(place: Path, about: Provenance) -> Health:
        if options.env is None and knows_no_environment(agent):
            return _on_data(options, agent, place, about)
        return _in_environment(options, agent, place, about)

    given = options.license, address, options.time_limit
    return pack_run(options.run, folder, agent, measure, *given)


def _in_environment(options: PackOptions, agent: Agent, folder: Path, about: Provenance) -> Health:
    """The skill report, and what it found."""
    with options.vector(agent, min(agent.num_skills, 16)) as vector:
        report = options.report(agent, vector, folder, about, film=folder / packs.FILM)
        best = int(np.nan_to_num(report.hits["trained"].diagonal(), nan=-1.0).argmax())
        return Health(headline_table(report), findings(report), vector.spec.id, best)


def _on_data(options: PackOptions, agent: Agent, folder: Path, about: Provenance) -> Health:
    """The report on recorded data, and what it found."""
    replay = replay_of(options.run)
    if replay is None:
        raise UsageError(
            f"{options.run} has no recorded data beside it and knows no environment, so nothing "
            "can be measured for the card; name an environment with --env"
        )
    report = data_report(agent, replay, folder, options.seed, about)
    codes = codebook_verdict(report.code_use, "the data", report.resampled)
    return Health(None, [*model_verdicts(report.model_error), codes])
