"""The maintainers' side, run from a checkout: train generators by recipe, release what they make.

python -m generation train generation/recipes/cyclegan-nc-cpu.toml
python -m generation release generation/recipes/cyclegan-nc-cpu.toml
"""
