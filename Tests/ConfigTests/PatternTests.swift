import Primitives
import Testing

@testable import Config

@Suite struct PatternTests {
    /// Pattern, text, and the first group, `-` for none and `nil` for no match.
    static let cases: [(ByteString, ByteString, String?)] = [
        ("", "", "-"), ("a", "", nil), ("a", "bab", "-"), ("^a", "ba", nil), ("a$", "ab", nil),
        ("^$", "", "-"), ("^$", "a", nil), (".", "", nil), (".", "x", "-"),
        ("ab*c", "ac", "-"), ("ab*c", "abbbc", "-"), ("ab+c", "ac", nil), ("ab?c", "abbc", nil),
        ("^(a+)(b*)$", "aab", "aa"), ("(a|ab)(c|bcd)", "abcd", "a"), ("^(a|b|c)+$", "abcb", "b"),
        ("^(?:a|b)(c)$", "bc", "c"), ("x(y)?", "x", "-"), ("^a{2}$", "aa", "-"), ("^a{2}$", "aaa", nil),
        ("^a{2,}$", "aaaa", "-"), ("^a{1,2}$", "aaa", nil), ("^a{0,1}b$", "b", "-"),
        ("[abc]", "xbx", "-"), ("^[^abc]$", "b", nil), ("^[a-c]+$", "abcd", nil), ("^[]x]+$", "]x", "-"),
        ("^[a-]+$", "a-a", "-"), ("\\d+", "a12", "-"), ("^\\D$", "1", nil), ("^\\w+$", "a_1", "-"),
        ("\\s", "a b", "-"), ("^\\S+$", "a b", nil), ("a\\.b", "axb", nil), ("^[\\d.]+$", "1.2", "-"),
        ("(a*)*", "b", "-"), ("^(a*)+$", "aaa", "aaa"), ("a|", "", "-"), ("|a", "", "-"),
    ]

    @Test(arguments: cases)
    func matches(_ pattern: ByteString, _ text: ByteString, _ group: String?) throws {
        let match = try Pattern(pattern).match(text)
        #expect(match.map { $0.firstGroup?.lossyText ?? "-" } == group)
    }

    @Test(
        arguments: [
            "(", ")", "a)", "(a", "[", "[a", "*", "+a", "a**", "a+?", "a{", "a{2", "a{2,1}", "a{256}", "a{x}",
            "\\", "\\1", "\\b", "(?=a)", "(?i)a", "[b-a]", "[[:alpha:]]", "[\u{e9}]", "(a{255}){255}",
        ] as [ByteString])
    func isRefused(_ pattern: ByteString) {
        #expect(throws: Pattern.Problem.self) { try Pattern(pattern) }
    }

    @Test func manyParentheses() {
        let deep = ByteString(String(repeating: "(", count: 100_000))
        #expect(throws: Pattern.Problem.self) { try Pattern(deep) }
    }

    /// The kind of pattern that takes others for ever.
    @Test func noNameMakesItSlow() throws {
        let pattern = try Pattern("^(a+)+$")
        let text = ByteString(String(repeating: "a", count: 5000) + "b")
        #expect(pattern.match(text) == nil)
    }
}
