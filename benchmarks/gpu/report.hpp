// What the program found, one JSON object a line, each written out as soon as it is known.
#pragma once

#include <cstdio>
#include <sstream>
#include <string>

class Line {
  public:
    explicit Line(const std::string& section) { text("section", section); }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    ~Line() {
        std::printf("{%s}\n", out_.str().c_str());
        std::fflush(stdout);
    }

    Line& text(const char* name, const std::string& value) {
        key(name) << '"';
        for (const char letter : value)
            if (letter == '"' || letter == '\\')
                out_ << '\\' << letter;
            else
                out_ << (static_cast<unsigned char>(letter) < ' ' ? ' ' : letter);
        out_ << '"';
        return *this;
    }

    template <typename Number>
    Line& number(const char* name, Number value) {
        key(name) << value;
        return *this;
    }

    Line& passed(bool value) {
        key("passed") << (value ? "true" : "false");
        return *this;
    }

  private:
    std::ostream& key(const char* name) { return out_ << (out_.tellp() > 0 ? ", \"" : "\"") << name << "\": "; }

    std::ostringstream out_;
};
