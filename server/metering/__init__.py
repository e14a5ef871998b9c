"""What users have and spend: balances, charges, holds, the ledger and its audit."""
