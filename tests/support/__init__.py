"""What tests share: small data, nets and calls, what they measure with, and programs that stand in for others."""
