"""Holds every #include under longgen/ against the graph of CMake targets.

Usage: layers_test.py REPOSITORY
The linker does not see an include of a folder that a target does not name: a header with inline code is enough, or a
library that another one drags in. So this test reads both sides, and fails when
  - a file includes a header of a target that its own target does not depend on, directly or through others;
  - an include, or a DEPS entry, points up the order of folders in longgen/CMakeLists.txt;
  - a header includes all of torch (torch/torch.h takes 18 s a file to compile), or a target without TORCH any of it;
  - a source belongs to no target, a target names an unknown one, or targets depend on each other in a circle.
Before that it checks itself on made-up trees, one for each of these faults.
"""

import pathlib
import re
import sys
import tempfile

SOURCES = {".cpp", ".cc", ".cu"}
HEADERS = {".h", ".hpp", ".cuh"}
ALL_OF_TORCH = {"torch/torch.h", "torch/all.h", "torch/extension.h"}
TORCH = ("ATen/", "c10/", "torch/")
KEYWORDS = {"TORCH", "SHARED", "EXACT", "SOURCES", "DEPS", "LIBS", "FLAGS"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
# What a comment could hide: comments go, strings (in which // may stand) stay.
NO_CODE = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


class Target:
    def __init__(self, name, folder, uses_torch):
        self.name, self.folder, self.uses_torch = name, folder, uses_torch
        self.sources, self.deps = [], set()


def includes(path):
    """Yields (line number, "<" or '"', name) of the includes of a C++ file."""
    def blank(match):
        text = match.group()
        return text if text[0] == '"' else re.sub(r"[^\n]", " ", text)

    text = NO_CODE.sub(blank, path.read_text(encoding="utf-8"))
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2]


def cmake_calls(path):
    """Yields (command, words) of a CMakeLists.txt without quoted arguments that hold parentheses."""
    text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
    for match in re.finditer(r"(\w+)\s*\(([^()]*)\)", text):
        yield match[1].lower(), match[2].split()


def folder_order(root):
    for command, words in cmake_calls(root / "longgen/CMakeLists.txt"):
        if command == "set" and words and words[0] == "folders":
            return words[1:]
    sys.exit("layers_test: longgen/CMakeLists.txt has no set(folders ...)")


def library(words, folder, uses_torch):
    """The target of longgen_library(NAME [TORCH] SOURCES ... DEPS ... LIBS ...), longgen_cuda_part(...) or
    longgen_isa_kernels(...)."""
    target = Target("longgen_" + words[0], folder, uses_torch)
    key = ""
    for word in words[1:]:
        if word in KEYWORDS:
            key = word
        elif key == "SOURCES":
            target.sources.append(word)
        elif key == "DEPS":
            target.deps.add("longgen_" + word)
    return target


def read_folder(root, folder):
    """The targets of one folder; sources of longgen_isa_kernels() count for the library that links their objects."""
    targets, objects, links = [], [], {}
    for command, words in cmake_calls(root / "longgen" / folder / "CMakeLists.txt"):
        if command == "longgen_library":
            targets.append(library(words, folder, "TORCH" in words))
        elif command == "longgen_cuda_part":
            targets.append(library(words, folder, uses_torch=True))
        elif command == "longgen_isa_kernels":
            objects += library(words, folder, uses_torch=False).sources
        elif command == "add_executable":
            target = Target(words[0], folder, uses_torch=True)
            target.sources = words[1:]
            targets.append(target)
        elif command == "target_link_libraries":
            links.setdefault(words[0], set()).update(
                word for word in words[1:] if word.startswith("longgen_") and word != "longgen_flags")
    for target in targets:
        target.deps |= links.get(target.name, set())
    for target in targets:
        if any("${" in source for source in target.sources):
            target.sources += objects
    return targets


class Tree:
    """The targets of a repository, the files of each, and what they may include."""

    def __init__(self, root):
        self.root, self.faults = root, []
        self.order = {folder: place for place, folder in enumerate(folder_order(root))}
        self.targets = {}
        for folder in self.order:
            if (root / "longgen" / folder / "CMakeLists.txt").exists():
                self.targets.update({target.name: target for target in read_folder(root, folder)})
        self.files = sorted(path for path in (root / "longgen").rglob("*") if path.suffix in SOURCES | HEADERS)
        self.includes_of = {self.name(path): [name for _, _, name in includes(path)] for path in self.files}
        self.owner = {}  # "longgen/base/check.h" -> Target
        self.find_owners()

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def find_owners(self):
        for target in self.targets.values():
            for source in target.sources:
                self.owner["longgen/" + target.folder + "/" + source] = target
        for path in self.files:
            if path.suffix in HEADERS:
                target = self.header_owner(path)
                if target:
                    self.owner[self.name(path)] = target

    def header_owner(self, path):
        """The target that compiles the source of the header's name; for others the lowest one of the folder that
        reads it."""
        name = self.name(path)
        for suffix in SOURCES:
            if source := self.owner.get(str(pathlib.PurePosixPath(name).with_suffix(suffix))):
                return source
        folder = name.split("/")[1]
        here = [target for target in self.targets.values() if target.folder == folder]
        users = [target for target in here if name in self.read(target)]
        for target in users:
            if all(target.name in self.reach(user) for user in users):
                return target
        return here[-1] if here else None

    def read(self, target):
        """Names of our headers that compiling the target reads, also through other headers."""
        read = set()
        waiting = ["longgen/" + target.folder + "/" + source for source in target.sources]
        while waiting:
            for include in self.includes_of.get(waiting.pop(), ()):
                if include not in read:
                    read.add(include)
                    waiting.append(include)
        return read

    def reach(self, target):
        """Names of the target and of all that it depends on."""
        reached, waiting = set(), [target.name]
        while waiting:
            name = waiting.pop()
            if name in reached or name not in self.targets:
                continue
            reached.add(name)
            waiting += self.targets[name].deps
        return reached

    def check(self):
        for target in self.targets.values():
            self.check_target(target)
        for path in self.files:
            self.check_file(path)
        return self.faults

    def check_target(self, target):
        where = "longgen/" + target.folder + "/CMakeLists.txt: " + target.name
        for dep in sorted(target.deps):
            if dep not in self.targets:
                self.faults.append(where + " depends on " + dep + ", which is no target")
                continue
            if self.order[self.targets[dep].folder] > self.order[target.folder]:
                self.faults.append(where + " depends on " + dep + ", which stands above it in longgen/CMakeLists.txt")
            if target.name in self.reach(self.targets[dep]):
                self.faults.append(where + " and " + dep + " depend on each other")

    def check_file(self, path):
        name = self.name(path)
        folder, owner = name.split("/")[1], self.owner.get(name)
        if folder not in self.order:
            self.faults.append(name + ": the folder is not in the order of longgen/CMakeLists.txt")
            return
        if owner is None:
            self.faults.append(name + ": no target of longgen/" + folder + "/CMakeLists.txt compiles it")
            return
        for line, mark, include in includes(path):
            self.check_include(path, f"{name}:{line}: includes {include}", mark, include, owner)

    def check_include(self, path, where, mark, include, owner):
        if include in ALL_OF_TORCH and path.suffix in HEADERS:
            self.faults.append(where + ": a header must not include all of torch")
        if include.startswith(TORCH) and not owner.uses_torch:
            self.faults.append(where + ", but " + owner.name + " is a target without TORCH")
        if not include.startswith("longgen/"):
            if mark == '"':
                self.faults.append(where + ": our own headers are included by their path from the root")
            return
        folder, target = include.split("/")[1], self.owner.get(include)
        if target is None:
            self.faults.append(where + ", which is no file of a target")
        elif self.order[folder] > self.order[owner.folder]:
            self.faults.append(where + ": longgen/" + folder + " stands above longgen/" + owner.folder
                               + " in longgen/CMakeLists.txt")
        elif target.name not in self.reach(owner):
            self.faults.append(where + " of " + target.name + ", but " + owner.name + " does not depend on it")


# A tree without faults: two targets in a folder, kernels for each instruction set, headers without a source, a chain of dependencies.
GOOD = {
    "CMakeLists.txt": "# bottom first\nset(folders base shape model cli)\nforeach(folder ${folders})\nendforeach()\n",
    "base/CMakeLists.txt": "longgen_library(base\n  SOURCES check.cpp  # errors\n  LIBS fmt::fmt)\n",
    "base/check.h": "#pragma once\n#include <string>\n",
    "base/check.cpp": '#include "longgen/base/check.h"\n',
    "shape/CMakeLists.txt": "longgen_library(shape SOURCES shape.cpp DEPS base)\n"
                            "longgen_isa_kernels(loops SOURCES fast/loops.cpp FLAGS -funroll-loops)\n"
                            "longgen_library(attend TORCH SHARED SOURCES attend.cpp ${loops_objects} DEPS shape)\n"
                            "if(LONGGEN_HAS_CUDA)\n"
                            "  longgen_cuda_part(shape_cuda EXACT SOURCES cuda/binding.cpp cuda/loops.cu DEPS attend)\n"
                            "endif()\n",
    "shape/shape.h": "#pragma once\n#include \"longgen/shape/numbers.h\"\n",
    "shape/numbers.h": "#pragma once\n",
    "shape/shape.cpp": '#include "longgen/shape/shape.h"\n#include "longgen/shape/tables.h"\n',
    "shape/tables.h": "#pragma once\n",
    "shape/attend.h": "#pragma once\n#include <ATen/core/Tensor.h>\n#include \"longgen/shape/shape.h\"\n",
    "shape/attend.cpp": "#include <torch/torch.h>\n#include \"longgen/base/check.h\"\n"
                        "#include \"longgen/shape/fast/loops.h\"\n#include \"longgen/shape/signature.h\"\n"
                        "#include \"longgen/shape/tables.h\"\n",
    "shape/signature.h": "#pragma once\n",
    "shape/fast/loops.h": "#pragma once\n",
    "shape/fast/loops.cpp": '#include "longgen/shape/fast/loops.h"\n',
    "shape/cuda/loops.h": "#pragma once\n",
    "shape/cuda/loops.cu": '#include "longgen/shape/cuda/loops.h"\n#include "longgen/shape/shape.h"\n',
    "shape/cuda/binding.cpp": '#include <ATen/core/Tensor.h>\n#include "longgen/shape/cuda/loops.h"\n',
    "model/CMakeLists.txt": "longgen_library(config SOURCES config.cpp DEPS shape)\n"
                            "longgen_library(model TORCH SOURCES model.cpp DEPS config attend)\n",
    "model/config.h": "#pragma once\n#include \"longgen/shape/tables.h\"\n#include \"longgen/shape/numbers.h\"\n",
    "model/config.cpp": '#include "longgen/model/config.h"\n// #include "longgen/cli/main.h"\n'
                        '/* #include <torch/torch.h>\n#include "longgen/cli/main.h" */\n'
                        'const char* kUrl = "https://example";\n#include "longgen/base/check.h"\n',
    "model/model.h": "#pragma once\n",
    "model/model.cpp": '#include "longgen/shape/attend.h"\n#include "longgen/base/check.h"\n',
    "cli/CMakeLists.txt": "add_executable(longgen main.cpp)\n"
                          "target_link_libraries(longgen PRIVATE longgen_flags longgen_model CLI11::CLI11)\n",
    "cli/main.h": "#pragma once\n",
    "cli/main.cpp": '#include "longgen/cli/main.h"\n#  include "longgen/shape/signature.h"\n',
}

# What is changed, and what the only fault then says.
FAULTS = [
    ({"shape/shape.cpp": '#include "longgen/model/config.h"\n#include "longgen/shape/tables.h"\n'},
     "longgen/shape/shape.cpp:1: includes longgen/model/config.h: longgen/model stands above longgen/shape"),
    ({"model/config.cpp": '\n#include "longgen/shape/attend.h"\n'},
     "longgen/model/config.cpp:2: includes longgen/shape/attend.h of longgen_attend, "
     "but longgen_config does not depend on it"),
    ({"model/config.h": '#include "longgen/shape/signature.h"\n'},
     "longgen/model/config.h:1: includes longgen/shape/signature.h of longgen_attend, but longgen_config"),
    ({"model/config.h": '#include "longgen/shape/fast/loops.h"\n'},
     "includes longgen/shape/fast/loops.h of longgen_attend, but longgen_config"),
    ({"model/config.cpp": "#include <longgen/model/model.h>\n"},
     "includes longgen/model/model.h of longgen_model, but longgen_config does not depend on it"),
    ({"cli/CMakeLists.txt": "add_executable(longgen main.cpp)\n"
                            "target_link_libraries(longgen PRIVATE longgen_flags longgen_config)\n"},
     "longgen/cli/main.cpp:2: includes longgen/shape/signature.h of longgen_attend, but longgen does not depend"),
    ({"shape/cuda/loops.cu": '#include "longgen/model/config.h"\n'},
     "longgen/shape/cuda/loops.cu:1: includes longgen/model/config.h: longgen/model stands above longgen/shape"),
    ({"shape/attend.cpp": '#include "longgen/shape/cuda/loops.h"\n#include "longgen/shape/signature.h"\n'},
     "longgen/shape/attend.cpp:1: includes longgen/shape/cuda/loops.h of longgen_shape_cuda, "
     "but longgen_attend does not depend on it"),
    ({"model/model.h": "#include <torch/torch.h>\n"},
     "longgen/model/model.h:1: includes torch/torch.h: a header must not include all of torch"),
    ({"base/check.h": "#include <ATen/ATen.h>\n"},
     "longgen/base/check.h:1: includes ATen/ATen.h, but longgen_base is a target without TORCH"),
    ({"model/config.cpp": '#include "config.h"\n'}, "our own headers are included by their path from the root"),
    ({"model/config.cpp": '#include "longgen/base/gone.h"\n'}, "includes longgen/base/gone.h, which is no file"),
    ({"base/lost.cpp": ""}, "longgen/base/lost.cpp: no target of longgen/base/CMakeLists.txt compiles it"),
    ({"extra/new.h": ""}, "longgen/extra/new.h: the folder is not in the order"),
    ({"base/CMakeLists.txt": "longgen_library(base SOURCES check.cpp DEPS gone)\n"},
     "longgen_base depends on longgen_gone, which is no target"),
    ({"base/CMakeLists.txt": "longgen_library(base SOURCES check.cpp DEPS config)\n",
      "model/CMakeLists.txt": "longgen_library(config SOURCES config.cpp)\n"
                              "longgen_library(model TORCH SOURCES model.cpp DEPS config attend)\n",
      "model/config.h": "", "model/config.cpp": ""},
     "longgen_base depends on longgen_config, which stands above it"),
]


def faults_of(files):
    """What the check says of a made-up tree."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            path = root / "longgen" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Tree(root).check()


def check_itself():
    faults = faults_of(GOOD)
    assert not faults, faults
    for changed, expected in FAULTS:
        faults = faults_of(GOOD | changed)
        assert len(faults) == 1 and expected in faults[0], (expected, faults)
    circle = faults_of(GOOD | {"model/CMakeLists.txt":
                               "longgen_library(config SOURCES config.cpp DEPS shape model)\n"
                               "longgen_library(model TORCH SOURCES model.cpp DEPS config attend)\n"})
    assert any("longgen_config and longgen_model depend on each other" in fault for fault in circle), circle


def main():
    check_itself()
    if len(sys.argv) != 2 or not (pathlib.Path(sys.argv[1]) / "longgen/CMakeLists.txt").exists():
        sys.exit("layers_test: expected one argument, the root of the repository (it has longgen/CMakeLists.txt)")
    tree = Tree(pathlib.Path(sys.argv[1]).resolve())
    faults = tree.check()
    for fault in faults:
        print(fault)
    num_includes = sum(1 for path in tree.files for _ in includes(path))
    print(f"{len(tree.targets)} targets, {len(tree.files)} files, {num_includes} includes: {len(faults)} faults")
    # A reader that found nothing would find no fault either.
    if not tree.targets or not tree.files or not num_includes:
        print("layers_test: nothing was read; is the argument the root of the repository?")
        sys.exit(1)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
