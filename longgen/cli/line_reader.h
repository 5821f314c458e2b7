// cli/line_reader.h: the lines of a conversation, typed at a terminal or coming through a pipe.
#pragma once

#include <memory>
#include <string>

#include "longgen/base/files.h"

namespace longgen {

enum class ReadEvent {
  line,
  interrupted,  ///< interrupted() was set meanwhile; what was typed is dropped
  end,          ///< no more input (Ctrl-D)
};

class LineReader {
 public:
  virtual ~LineReader() = default;
  /// Waits for the next line, without its line end. `line` holds it only after ReadEvent::line.
  virtual ReadEvent read(std::string& line) = 0;
};

/// Lines as they come, without what prompt_text() leaves out. A last one without a line end is a
/// line.
std::unique_ptr<LineReader> make_plain_reader();

/// Line editing and history by libedit, for stdin and stderr on a terminal. A paste is inserted as
/// it is, line ends included, where the terminal marks it (bracketed paste), so that it becomes one
/// line. `history` is where lines are kept from one run to the next (at most 1,000, readable by the
/// user alone); empty: nowhere. Sets the process's LC_CTYPE to UTF-8. One at a time.
std::unique_ptr<LineReader> make_line_editor(const std::string& prompt, const fs::path& history);

/// longgen/NAME in $XDG_STATE_HOME, or in ~/.local/state; empty where the environment names no
/// home.
fs::path state_file(const std::string& name);

}  // namespace longgen
