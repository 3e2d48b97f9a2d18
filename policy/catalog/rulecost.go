package catalog

import (
	"errors"
	"fmt"
	"math"
	"regexp/syntax"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// maxRuleCost bounds the estimated cost of a rule, in CEL's units: an operation, or the
// look at ten characters. A unit takes some tens of nanoseconds at most, and only a token
// that was made for it costs all that is estimated.
const maxRuleCost = 200_000

// Sizes that the estimate reckons with. A token has at most 16 KiB, an answer about one
// four times that; the items of a list share it.
const (
	maxTextSize   = 16 << 10
	maxListSize   = 1000
	maxItemSize   = 64
	maxParamsSize = 64
)

// checkCost refuses a rule that may cost too much.
func checkCost(language *cel.Env, rule *cel.Ast) error {
	estimate, err := language.EstimateCost(rule, ruleSizes{})
	if err != nil {
		return fmt.Errorf("the cost of the rule cannot be estimated: %w", err)
	}
	if estimate.Max > maxRuleCost {
		return fmt.Errorf("%w: it costs up to %s units, of %d", errCostly, costText(estimate.Max), maxRuleCost)
	}
	return nil
}

func costText(cost uint64) string {
	if cost == math.MaxUint64 {
		return "any number of"
	}
	return fmt.Sprint(cost)
}

// ruleSizes implements checker.CostEstimator.
type ruleSizes struct{}

// EstimateSize says how large what comes from the context may be.
func (ruleSizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	path := node.Path()
	if len(path) == 0 {
		return nil
	}
	last := path[len(path)-1]
	if strings.HasPrefix(last, "@") {
		return upTo(maxItemSize)
	}
	switch node.Type().Kind() {
	case types.StringKind, types.BytesKind:
		return upTo(maxTextSize)
	case types.ListKind:
		return upTo(maxListSize)
	case types.MapKind:
		return upTo(maxParamsSize)
	case types.DynKind, types.AnyKind:
		return upTo(maxTextSize)
	}
	return nil
}

func upTo(size uint64) *checker.SizeEstimate { return &checker.SizeEstimate{Max: size} }

// EstimateCallCost says what a regular expression costs: each step of it for each
// character. CEL goes by the length of its text, which repetitions make meaningless. The
// other functions are left to CEL.
func (ruleSizes) EstimateCallCost(name, _ string, target *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	if name != "matches" || len(args) == 0 {
		return nil
	}
	text := args[0]
	if target != nil {
		text = *target
	}
	steps, err := patternSteps(args[len(args)-1].Expr())
	size := text.ComputedSize()
	if err != nil || size == nil {
		return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Max: math.MaxUint64}}
	}
	return &checker.CallEstimate{CostEstimate: size.Add(checker.FixedSizeEstimate(1)).MultiplyByCostFactor(float64(steps) / 10)}
}

// constantArguments refuses calls whose cost or effect only their arguments decide:
// regular expressions, formats and time zones are written in the rule, and a zone as its
// offset, for its name would be looked up in files.
type constantArguments struct{}

// Name implements cel.ASTValidator.
func (constantArguments) Name() string { return "durward.constant_arguments" }

// Validate implements cel.ASTValidator.
func (constantArguments) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, call := range ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.CallKind)) {
		c := call.AsCall()
		name, args := c.FunctionName(), c.Args()
		switch {
		case name == "format":
			issues.ReportErrorAtID(call.ID(), "format is not available")
		case name == "matches":
			if _, err := patternSteps(args[len(args)-1]); err != nil {
				issues.ReportErrorAtID(call.ID(), "the regular expression of matches %s", err)
			}
		case strings.HasPrefix(name, "get") && len(args) == 1 && !isOffset(args[0]):
			issues.ReportErrorAtID(call.ID(), "the time zone of %s is not a constant offset such as \"+01:00\"", name)
		}
	}
}

// patternSteps counts the instructions of a regular expression. It refuses one that is not
// written in the rule, is malformed, or compiles to too much.
func patternSteps(e ast.Expr) (int, error) {
	if !isLiteral(e) {
		return 0, errors.New("is not a constant")
	}
	text, _ := e.AsLiteral().Value().(string)
	pattern, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, errors.New("is malformed")
	}
	program, err := syntax.Compile(pattern.Simplify())
	if err != nil || len(program.Inst) > maxPattern {
		return 0, fmt.Errorf("takes more than %d steps", maxPattern)
	}
	return len(program.Inst), nil
}

func isLiteral(e ast.Expr) bool { return e.Kind() == ast.LiteralKind }

func isOffset(e ast.Expr) bool {
	if !isLiteral(e) {
		return false
	}
	zone, ok := e.AsLiteral().Value().(string)
	return ok && (zone == "UTC" || strings.Contains(zone, ":"))
}

// fieldsAlone holds that the messages of the context are only looked into: as values of
// their own, CEL would copy, compare and read them as it does any message.
type fieldsAlone struct{}

// Name implements cel.ASTValidator.
func (fieldsAlone) Name() string { return "durward.fields_alone" }

// Validate implements cel.ASTValidator.
func (fieldsAlone) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.AllMatcher()) {
		parent, below := e.Parent()
		switch {
		case e.Kind() == ast.StructKind:
			issues.ReportErrorAtID(e.ID(), "messages cannot be made here")
		case e.Type().Kind() == types.StructKind && (!below || parent.Kind() != ast.SelectKind):
			issues.ReportErrorAtID(e.ID(), "%s is no value: write one of its fields", nameOf(e))
		}
	}
}

func nameOf(e ast.NavigableExpr) string {
	if e.Kind() == ast.IdentKind {
		return e.AsIdent()
	}
	return "this"
}
