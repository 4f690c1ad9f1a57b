"""What was found, put into words: one document, and its renderings as text, Markdown and JSON."""

from torch_ref.outcome import Outcome
from torch_ref.report.document import Document
from torch_ref.report.text import report_text


class Report(Outcome):
    """What `check` found of one candidate, in one dtype. As a string: the table, then why it fails, if it does."""

    def __str__(self) -> str:
        return report_text(Document([self]))
