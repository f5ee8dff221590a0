"""What every user must be told, in the same words everywhere; docs/law.md has the law in full."""

NOTICE = (
    "moodwire recognises emotion as actors portray it, which is not what a person feels; people themselves agree with "
    "the actors' label only about two times in three. "
    "In the EU, using it on employees, applicants, pupils or students is prohibited, except for medical or safety "
    "reasons (AI Act, Article 5(1)(f)). Whoever else uses it in an organisation must tell everyone whom it hears "
    "(Article 50(3), in force since 2 August 2026) and follow the GDPR. At home, ask first."
)
"""Shown at the first start, on the page, by `GET /meta` and in the API's document."""

LAW = """\
Not for employees, applicants, pupils or students: in the EU, inferring emotions of people at work or in education is
prohibited, except for medical or safety reasons (AI Act, Regulation (EU) 2024/1689, Article 5(1)(f)). Not for hidden
use: since 2 August 2026 a deployer must inform everyone who is exposed (Article 50(3)). Other professional use is
high-risk (Annex III, 1(c)), with duties from December 2027. The GDPR applies beside it, and an open licence exempts
nobody (Article 2(12)). A private person at home is no deployer (Article 3(4)), and still asks first."""
"""The law in short, as a paragraph of Markdown: on each model's card and in README.md."""
