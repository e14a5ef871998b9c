"""(being written; see TWO-HTTP-HELPERS)"""
