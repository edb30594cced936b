"""`python -m ecurie.worker NAME`: how the supervisor starts a worker."""

from ecurie.worker.process import main

if __name__ == "__main__":
    main()
