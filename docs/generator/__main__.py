"""Writes what docs/ repeats from the code: `python -m docs.generator`."""

from __future__ import annotations

from docs.generator.files import generated_files


def main() -> None:
    for file, text in generated_files().items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
