import sys

from ferlib.book.command import main

sys.exit(main())
