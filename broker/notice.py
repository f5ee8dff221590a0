"""What every user must be told, in the same words everywhere."""

NOTICE = (
    "moodwire recognises emotion as actors portray it, which is not what a person feels, and people themselves "
    "agree with the actors' label only about two times in three. "
    "Do not use it on employees or pupils, where EU law prohibits it (AI Act, Article 5(1)(f)), and tell everyone "
    "whom it may hear before it listens (Article 50(3))."
)
