"""Balance over a course of steps: set-points ahead of what is forecast, ramps, and batteries that end."""

from pdnopt.balancing.course.inputs import Vectors, read_vectors
from pdnopt.balancing.course.solving import Course, solve_course

__all__ = ["Course", "Vectors", "read_vectors", "solve_course"]
