"""Where an environment runs: one file per provider, behind one interface (`base.Provider`)."""
