import unittest

from cleansing import cleansing


class CleansingTest(unittest.TestCase):
    def test_normal(self):
        self.assertEqual(cleansing("a, b. , "), ["a", "b"])


if __name__ == "__main__":
    unittest.main()
