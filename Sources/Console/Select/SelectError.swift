import Primitives
import Session

/// Why a text is no SELECT, or why it has no answer: PostgreSQL's code and sentence, and where in the text.
struct SelectError: Error, Equatable {
    let state: ByteString
    let text: ByteString
    /// The byte the error is about; `nil` when it is about no place in the text.
    let place: Int?
    var hint: ByteString?

    init(_ state: ByteString, _ text: String, at place: Int? = nil, hint: ByteString? = nil) {
        self.state = state
        self.text = ByteString(text)
        self.place = place
        self.hint = hint
    }

    static func syntax(_ token: SQLToken) -> SelectError {
        guard token.kind != .end else {
            return SelectError("42601", "syntax error at end of input", at: token.place)
        }
        return SelectError("42601", "syntax error at or near \"\(token.text.lossyText)\"", at: token.place)
    }

    static let outOfRange = SelectError("22003", "value out of range")
    static let tooDeep = SelectError("54001", "expression is nested too deeply")

    /// PostgreSQL counts characters from 1.
    func error(in text: ByteString) -> ConsoleError {
        let position = place.map { place in
            1 + text.bytes.prefix(place).reduce(into: 0) { $0 += $1 & 0xC0 == 0x80 ? 0 : 1 }
        }
        return ConsoleError(.console(self.text, state: state, hint: hint), position: position)
    }
}
