"""The FastAPI application: the page of an article and its comments, on the port of the server.

::

    cd examples
    crosswire serve fastapi_one_port.live:server --app fastapi_one_port.site:app --workers 2

Then open http://localhost:8000/articles/tea in two windows.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypedDict

from fastapi import Depends, FastAPI, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from .comments import CommentStore
from .live import server

_PAGE = Path(__file__).with_name("page.html")


class State(TypedDict):
    """State of the application, the same for all requests of a worker."""

    comments: CommentStore


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    yield {"comments": CommentStore(Path(os.environ.get("COMMENTS", "comments.sqlite")))}


app = FastAPI(title="Articles", lifespan=lifespan)


class Comment(BaseModel):
    """A comment on an article."""

    author: Annotated[str, Field(min_length=1, max_length=40)]
    text: Annotated[str, Field(min_length=1, max_length=1000)]


def comment_store(request: Request) -> CommentStore:
    store: CommentStore = request.state.comments
    return store


Article = Annotated[str, InPath(min_length=1, max_length=40)]
Store = Annotated[CommentStore, Depends(comment_store)]


@app.get("/articles/{article}")
def page(article: Article) -> FileResponse:
    return FileResponse(_PAGE, media_type="text/html")


@app.get("/articles/{article}/comments")
def comments(article: Article, store: Store) -> list[Comment]:
    return [Comment(author=author, text=text) for author, text in store.of(article)]


@app.post("/articles/{article}/comments", status_code=201)
def add_comment(article: Article, comment: Comment, store: Store) -> Comment:
    store.add(article, comment.author, comment.text)
    server.room("article", article).send("comment", comment.model_dump())  # to all readers, on both workers
    return comment


@app.get("/articles/{article}/readers")
async def readers(article: Article) -> list[str]:
    return sorted(await server.room("article", article).members())
