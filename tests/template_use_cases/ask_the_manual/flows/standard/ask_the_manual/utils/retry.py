import functools


def retry(times):
    def decorator(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for left in reversed(range(times)):
                try:
                    return function(*args, **kwargs)
                except KeyError:
                    if not left:
                        raise

        return wrapper

    return decorator
