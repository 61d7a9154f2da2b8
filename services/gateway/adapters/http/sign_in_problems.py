"""Decides how it is answered that somebody is not signed in."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.gateway.adapters.http.problems import ProblemError, answer
from services.gateway.core.sign_in import CodeRefused, PasswordRefused, SignInRefused, TooManyAttempts


def install(app: FastAPI) -> None:
    """Answer what stands against a sign-in as a problem."""
    app.add_exception_handler(SignInRefused, _refused)
    app.add_exception_handler(TooManyAttempts, _too_many)
    app.add_exception_handler(PasswordRefused, _weak)
    app.add_exception_handler(CodeRefused, _worthless)


def _refused(request: Request, error: Exception) -> JSONResponse:
    problem = ProblemError(HTTPStatus.UNAUTHORIZED, "wrong-sign-in", "You are not signed in", str(error))
    return answer(request, problem)


def _too_many(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TooManyAttempts)
    problem = ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts", str(error))
    return answer(request, problem, {"Retry-After": str(error.wait_s)})


def _weak(request: Request, error: Exception) -> JSONResponse:
    problem = ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "weak-password", "Take another password", str(error))
    return answer(request, problem)


def _worthless(request: Request, error: Exception) -> JSONResponse:
    problem = ProblemError(HTTPStatus.FORBIDDEN, "worthless-code", "This link does not count any more", str(error))
    return answer(request, problem)
