"""Attacks on dbtend with what is damaged, odd or hostile: python -m benchmarks.attack"""
