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

/// Makes a reader of lines as they come, without what prompt_text() leaves out. A last one without
/// a line end is a line as well.
std::unique_ptr<LineReader> make_plain_reader();

/// Makes a line editor with history by libedit, for stdin and stderr on a terminal. A paste is
/// inserted as it is, line ends included, where the terminal marks it (bracketed paste), and
/// becomes one line. `history` keeps lines from one run to the next (at most 1,000, readable by the
/// user alone); empty: none. Sets the process's LC_CTYPE to UTF-8. One at a time may exist.
std::unique_ptr<LineReader> make_line_editor(const std::string& prompt, const fs::path& history);

/// Returns longgen/NAME in $XDG_STATE_HOME, or in ~/.local/state; an empty path where the
/// environment names no home.
fs::path state_file(const std::string& name);

}  // namespace longgen
