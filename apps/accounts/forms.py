"""What is typed in to be let in, and what is said when it does not fit."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm

# The same words whether nobody has that name, the password is wrong or the account is
# closed: whoever guesses learns nothing.
_REFUSED = "That username and password do not belong together. Check both; capitals count."


class SignInForm(AuthenticationForm):
    error_messages = {"invalid_login": _REFUSED, "inactive": _REFUSED}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        username, password = self.fields["username"], self.fields["password"]
        username.label = "Username"
        username.widget.attrs["spellcheck"] = "false"
        username.error_messages["required"] = "Type your username."
        password.error_messages["required"] = "Type your password."
