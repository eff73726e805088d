"""The comparison of two databases: which tables hold the same rows, which columns differ, which objects are missing."""

from etl_local.comparison.databases import Comparison, compare
from etl_local.comparison.objects import ObjectComparison
from etl_local.comparison.tables import ColumnComparison, TableComparison

__all__ = ["ColumnComparison", "Comparison", "ObjectComparison", "TableComparison", "compare"]
