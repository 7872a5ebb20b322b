"""The command as a module: python -m covid_synth_data.cli."""

from covid_synth_data.cli import main

main()
