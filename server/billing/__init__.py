"""What users buy at Stripe: plans and packs, what of that they were credited, and taken back."""
