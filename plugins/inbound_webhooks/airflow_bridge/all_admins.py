"""Whether Airflow makes every request one of an administrator."""

from __future__ import annotations

from itertools import takewhile
from typing import Any


def appends_admin_token(application: Any, *, inside: type) -> bool:
    """Whether requests reach a middleware with an administrator's token as their last Authorization header.

    ``[core] simple_auth_manager_all_admins`` makes Airflow 3.2 register SimpleAllAdminMiddleware under any
    auth manager; 3.3 leaves it to the auth manager, which may be a subclass. So what is registered is what
    counts.

    :param application: Airflow's FastAPI application, or anything else that an ASGI scope names, such as None
    :param inside: the class of the middleware that asks; only those in front of it count
    """
    try:
        from airflow.api_fastapi.auth.managers.simple.middleware import SimpleAllAdminMiddleware
    except ImportError:  # a later Airflow, which cannot have registered it either
        return False
    registered = getattr(application, "user_middleware", ())
    in_front = takewhile(lambda one: one.cls is not inside, registered)
    return any(
        isinstance(one.cls, type) and issubclass(one.cls, SimpleAllAdminMiddleware) for one in in_front
    )
