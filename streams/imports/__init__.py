"""The jobs of imports: a file's rows read and judged, written as records, and taken back."""
