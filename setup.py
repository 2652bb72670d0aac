"""Build the Cython kernels; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = ["engine", "ladder"]

setup(
    ext_modules=cythonize(
        [Extension(f"ext._{name}", [f"src/ext/_{name}.pyx"]) for name in KERNELS],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "cdivision": False, "boundscheck": True},
    ),
)
