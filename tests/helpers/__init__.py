"""What several test modules share: fakes, tiny networks, small servers, the editor; `from helpers import fakes`."""
