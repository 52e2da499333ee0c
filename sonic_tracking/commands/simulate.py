"""`sonic simulate`: events with truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

import sonic_tracking
from sonic_tracking.commands.console import one_line_errors, print_rows
from sonic_tracking.commands.options import Force

__all__ = ["EXAMPLES", "simulate"]

EXAMPLES = """\
[bold]Examples[/bold]

[cyan]sonic simulate -n 100 -o events.root --truth truth.root[/cyan]

[cyan]sonic simulate -n 5 --pileup 40 -o pu40.root --truth truth40.root --jobs 2[/cyan]

[cyan]sonic simulate --generator hepmc3 --hepmc3 a.hepmc -o e.root --truth t.root[/cyan]
"""


def simulate(
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="ROOT file for the space points.")
    ],
    truth: Annotated[Path, typer.Option(help="ROOT file for the truth.")],
    n_events: Annotated[
        int, typer.Option("-n", "--events", min=1, help="Number of events.")
    ] = 100,
    generator: Annotated[
        Literal["pythia8", "gun", "hepmc3"],
        typer.Option(
            help="pythia8: ttbar at 14 TeV (extra 'generators', GPL); gun: single "
            "pions; hepmc3: particles from files."
        ),
    ] = "pythia8",
    pileup: Annotated[
        float, typer.Option(min=0.0, help="Mean number of pileup collisions (pythia8).")
    ] = 0.0,
    hepmc3: Annotated[
        list[Path] | None,
        typer.Option(help="HepMC3 file; give it several times for several files."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 1,
    first_event: Annotated[
        int, typer.Option(min=0, help="Number of the first event.")
    ] = 0,
    photons: Annotated[
        bool,
        typer.Option(
            help="Simulate photons too, which convert in the material (pythia8)."
        ),
    ] = True,
    min_momentum: Annotated[
        float, typer.Option(help="Particles below this momentum, in GeV, are left out.")
    ] = 0.05,
    noise: Annotated[
        float, typer.Option(min=0.0, help="Noise points, as a share of the real ones.")
    ] = 0.0,
    inefficiency: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the points that are lost.")
    ] = 0.0,
    form: Annotated[
        Literal["ttree", "rntuple"], typer.Option("--format", help="Form of the files.")
    ] = "ttree",
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes; the events do not depend on it.")
    ] = 1,
    force: Force = False,
) -> None:
    """Simulate events of the generic (TrackML) detector, with truth in its own file.

    ACTS propagates the particles through a field of 2 T and the detector's material,
    and digitises their hits. Positions are in mm, momenta in GeV.
    """
    with one_line_errors():
        report = sonic_tracking.simulate(
            output,
            truth,
            n_events=n_events,
            seed=seed,
            first_event=first_event,
            generator=generator,
            pileup=pileup,
            hepmc3_files=tuple(hepmc3 or ()),
            photons=photons,
            min_momentum_gev=min_momentum,
            noise_fraction=noise,
            hit_inefficiency=inefficiency,
            form=form,
            n_processes=jobs,
            force=force,
            progress=True,
        )
        print_rows("simulated", report.rows())
