"""Settings from the environment, and what is refused."""

import os

import pytest

from clickpose_labelstudio.settings import ServiceSettings


def test_the_environment_is_read_by_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    settings = ServiceSettings.from_environment(
        {
            "LABEL_STUDIO_URL": "https://ls.example.org/studio/",
            "LABEL_STUDIO_API_KEY": "k3y",
            "CLICKPOSE_ALLOWED_HOSTS": " Images.example.org, 10.0.0.7:9000 ,",
            "CLICKPOSE_LOCAL_ROOTS": os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]),
            "CLICKPOSE_CACHE_DIR": str(tmp_path / "cache"),
            "CLICKPOSE_MAX_IMAGE_PIXELS": "1000",
            "CLICKPOSE_FETCH_TIMEOUT_S": "2.5",
            "CLICKPOSE_MODEL": "",
            "CLICKPOSE_FLIP_TEST": " Off ",
        }
    )
    assert settings.label_studio_url == "https://ls.example.org/studio"
    assert settings.label_studio_api_key == "k3y"
    assert settings.allowed_hosts == ("images.example.org", "10.0.0.7:9000")
    assert settings.local_roots == (tmp_path / "a", tmp_path / "b")
    assert settings.cache_dir == tmp_path / "cache"
    assert (settings.max_image_pixels, settings.fetch_timeout_s, settings.model) == (1000, 2.5, "lite")
    assert settings.flip_test is False


def test_the_cache_lies_in_the_users_cache_folder(tmp_path):
    assert ServiceSettings.from_environment({"XDG_CACHE_HOME": str(tmp_path)}).cache_dir == tmp_path / "clickpose"


def test_secrets_are_not_in_the_repr(tmp_path):
    settings = ServiceSettings(
        cache_dir=tmp_path,
        label_studio_api_key="s3cret-key",
        basic_auth_user="ls",
        basic_auth_password="s3cret-password",
        webhook_secret="s3cret-hook",
    )
    assert "s3cret" not in repr(settings)
    assert "basic_auth_user='ls'" in repr(settings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_studio_url": "localhost:8080"}, "label_studio_url such as"),
        ({"label_studio_url": "http://user:pw@ls:8080"}, "without a user or password"),
        ({"basic_auth_user": "ls"}, "only one of them"),
        ({"max_image_bytes": 0}, "positive max_image_bytes, got 0"),
        ({"fetch_timeout_s": float("nan")}, "positive fetch_timeout_s, got nan"),
        ({"unlabelled_below": 1.2}, r"unlabelled_below between 0 and 1, got 1\.2"),
        ({"model": "r50", "flip_test": False}, "Expected the network lite where the flip test is left out, got 'r50'"),
        ({"local_roots": ("no/such/folder",)}, "local_roots to be folders"),
    ],
)
def test_bad_settings_are_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        ServiceSettings(cache_dir=tmp_path, **values)


def test_a_bad_number_names_its_variable():
    with pytest.raises(ValueError, match="CLICKPOSE_CACHE_MAX_BYTES to be a number, got '2 GB'"):
        ServiceSettings.from_environment({"CLICKPOSE_CACHE_MAX_BYTES": "2 GB"})
    with pytest.raises(ValueError, match="CLICKPOSE_FLIP_TEST to be yes or no, got 'maybe'"):
        ServiceSettings.from_environment({"CLICKPOSE_FLIP_TEST": "maybe"})


def test_the_environment_that_settings_write_is_the_one_that_they_read(tmp_path):
    settings = ServiceSettings(
        cache_dir=tmp_path, label_studio_api_key="k", allowed_hosts=("a.test", "*.b.test"), local_roots=(tmp_path,),
        max_image_pixels=7, unlabelled_below=0.0, train_dir=tmp_path / "jobs", train_arguments="--threads 2",
        train_after=25, train_here=False, flip_test=False, browser_decoding=False,
    )  # fmt: skip
    assert ServiceSettings.from_environment(settings.to_environment()) == settings
