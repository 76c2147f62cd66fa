import argparse

from ask_the_manual.qna import qna


def ask_the_manual(question):
    return qna(question, [])


if __name__ == "__main__":
    argparse.ArgumentParser().parse_args()
