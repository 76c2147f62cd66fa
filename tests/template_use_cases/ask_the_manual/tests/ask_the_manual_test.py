from base_test import BaseTest
