"""The games that ale-py ships: their names, and what only the emulator knows of them.

The law of this file: ALE ends the process when it is asked to load a ROM that it cannot play, so no name reaches
`loadROM` that `find_game` has not returned.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ale_py import Action, ALEInterface, LoggerMode, roms

from openenv_grpc.errors import InvalidArgument


@dataclass(frozen=True)
class Game:
    """What is the same for every instance of a game.

    Attributes:
        name: ALE's id, such as `space_invaders`.
        rom: Path of the ROM.
        height: Screen height in pixels.
        width: Screen width in pixels.
        ram_bytes: Bytes of the console's memory.
        minimal_actions: The actions that do something in this game.
        all_actions: All 18 actions of the joystick.
        modes: Values of the `mode` option.
        difficulties: Values of the `difficulty` option.
    """

    name: str
    rom: Path
    height: int
    width: int
    ram_bytes: int
    minimal_actions: tuple[Action, ...]
    all_actions: tuple[Action, ...]
    modes: tuple[int, ...]
    difficulties: tuple[int, ...]


def new_ale() -> ALEInterface:
    """An emulator without a game, which writes nothing but errors."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    return ALEInterface()


@cache
def game_names() -> tuple[str, ...]:
    """ALE's ids of all games that one player can play, in alphabetical order."""
    return tuple(sorted(name for name in roms.get_all_rom_ids() if ALEInterface.isSupportedROM(_rom(name))))


def find_game(name: str) -> str:
    """ALE's id of a game: `space_invaders` for itself, `SpaceInvaders` and `ALE/SpaceInvaders-v5`.

    Raises:
        InvalidArgument: There is no such game, or one player cannot play it; the message suggests similar names.
    """
    names = {_squeeze(known): known for known in game_names()}
    wanted = _squeeze(re.sub(r"^ALE/|-v5$", "", str(name)))
    if wanted in names:
        return names[wanted]
    similar = [names[key] for key in difflib.get_close_matches(wanted, names)]
    hint = f"did you mean {', '.join(similar)}?" if similar else f"there are {len(names)} games, such as pong and qbert"
    if wanted in map(_squeeze, roms.get_all_rom_ids()):
        hint = "ALE has it for two players only"
    message = f"no game {name!r:.60}: {hint}"
    raise InvalidArgument(message, field="game")


@cache
def describe_game(name: str) -> Game:
    """The facts of a game, which the emulator tells only with the ROM loaded (about 85 ms, once per process).

    Args:
        name: ALE's id, as `find_game` returns it.
    """
    ale = new_ale()
    ale.loadROM(_rom(name))
    height, width = ale.getScreenDims()
    return Game(
        name=name,
        rom=_rom(name),
        height=height,
        width=width,
        ram_bytes=ale.getRAMSize(),
        minimal_actions=tuple(ale.getMinimalActionSet()),
        all_actions=tuple(ale.getLegalActionSet()),
        modes=tuple(ale.getAvailableModes()),
        difficulties=tuple(ale.getAvailableDifficulties()),
    )


def _rom(name: str) -> Path:
    """Not `roms.get_rom_path`: that one prints, and follows an environment variable to other ROMs."""
    return Path(roms.__file__).with_name(f"{name}.bin")


def _squeeze(name: str) -> str:
    return name.replace("_", "").lower()
