"""How tools are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.system.process import ToolError, run, tool_path


def test_a_name_is_searched_and_a_full_path_is_taken_as_it_is(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho hello\n")
    assert tool_path(str(tool)) is None, "it cannot be executed"
    tool_path.cache_clear()
    tool.chmod(0o755)
    assert run([str(tool)]) == "hello\n"
    assert tool_path("tool-that-nobody-has") is None
    with pytest.raises(ToolError, match="not installed"):
        run(["tool-that-nobody-has"])
