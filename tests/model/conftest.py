"""Scenes for the tests of the model."""

import pytest

from tests.model.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def granted(scene: Scene) -> Scene:
    scene.grant()
    return scene
