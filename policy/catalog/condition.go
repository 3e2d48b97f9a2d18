package catalog

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
	"google.golang.org/protobuf/reflect/protoreflect"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Bounds on the text of a rule. What it costs to evaluate is bounded by maxRuleCost.
const (
	maxRuleBytes = 4096
	maxRuleNodes = 10_000
	maxRuleDepth = 100
	// maxPattern is in instructions of the compiled regular expression.
	maxPattern = 1000
)

// Condition is a compiled rule: a CEL expression over a durwardv1.RuleContext. The zero
// Condition never holds. It is safe for concurrent use.
type Condition struct {
	// Text is the expression as it is written.
	Text string
	At   Position

	program cel.Program
}

// Holds evaluates the expression. An error, or a key that is missing, is never true. What
// it may take in time and memory was bounded when the rule was compiled, for a context
// within the bounds of tokens and requests.
func (c *Condition) Holds(about *durwardv1.RuleContext) (bool, error) {
	if c == nil || c.program == nil || about == nil {
		return false, errors.New("rule: there is nothing to evaluate")
	}
	result, _, err := c.program.Eval(ruleVariables{about})
	if err != nil {
		return false, c.failure(err)
	}
	holds, ok := result.(types.Bool)
	if !ok {
		return false, fmt.Errorf("rule: the result is %s and not true or false", result.Type().TypeName())
	}
	return bool(holds), nil
}

// failure says why the rule could not be evaluated, as far as that tells nothing about the
// person: what CEL reports may repeat what a claim holds.
func (c *Condition) failure(err error) error {
	message := err.Error()
	for _, known := range []string{"no such key: ", notSet} {
		if name, ok := strings.CutPrefix(message, known); ok && strings.Contains(c.Text, name) {
			return fmt.Errorf("rule: %s%s", known, name)
		}
	}
	for _, known := range []string{"no such overload", "division by zero", "modulus by zero"} {
		if strings.HasPrefix(message, known) {
			return fmt.Errorf("rule: %s", known)
		}
	}
	return errors.New("rule: it cannot be evaluated for this token and request")
}

// ruleVariables gives a rule its variables, the fields of the context.
type ruleVariables struct{ about *durwardv1.RuleContext }

// ResolveName implements cel.Activation. What is not set is empty, as in any message.
func (v ruleVariables) ResolveName(name string) (any, bool) {
	switch name {
	case "token":
		return orEmpty(v.about.GetToken()), true
	case "request":
		return orEmpty(v.about.GetRequest()), true
	case "application":
		return orEmpty(v.about.GetApplication()), true
	case "api":
		return orEmpty(v.about.GetApi()), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (ruleVariables) Parent() cel.Activation { return nil }

func orEmpty[M any](message *M) *M {
	if message == nil {
		return new(M)
	}
	return message
}

// ruleLanguage is what rules are written in: CEL over the fields of a RuleContext, with
// its extensions for strings, sets and addresses. Nothing in it reads anything but the
// context.
var ruleLanguage = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewProtoRegistry(types.ProtoTypeDefs(new(durwardv1.RuleContext)))
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(ruleFields{registry}),
		cel.DeclareContextProto(new(durwardv1.RuleContext).ProtoReflect().Descriptor()),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		ext.Strings(), ext.Sets(), ext.Network(),
		cel.ParserExpressionSizeLimit(maxRuleBytes),
		cel.ParserRecursionLimit(maxRuleDepth),
		cel.ExpressionNodeLimit(maxRuleNodes),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			constantArguments{}, fieldsAlone{},
		),
	)
})

// notSet begins the error about a time that nobody said.
const notSet = "not set: "

// ruleFields reads the fields of the context for CEL. A time that is not set is an error:
// CEL would take it for 1970. The further claims are not copied, as CEL would at each look.
type ruleFields struct{ *types.Registry }

// FindStructFieldType implements types.Provider.
func (p ruleFields) FindStructFieldType(message, name string) (*types.FieldType, bool) {
	field, ok := p.Registry.FindStructFieldType(message, name)
	if !ok {
		return nil, false
	}
	get := field.GetFrom
	switch {
	case field.Type.IsExactType(types.TimestampType):
		get = func(target any) (any, error) {
			if !field.IsSet(target) {
				return nil, errors.New(notSet + name)
			}
			return field.GetFrom(target)
		}
	case message == claimsOwner && name == "claims":
		get = func(target any) (any, error) {
			token, ok := target.(*durwardv1.RuleToken)
			if !ok {
				return nil, errors.New(notSet + name)
			}
			return orEmpty(token.GetClaims()), nil
		}
	}
	return &types.FieldType{Type: field.Type, IsSet: field.IsSet, IsJSONField: field.IsJSONField, GetFrom: get}, true
}

var claimsOwner = string(new(durwardv1.RuleToken).ProtoReflect().Descriptor().FullName())

// errCostly is a rule that may take too long.
var errCostly = errors.New("the rule may take too long")

// compileRule compiles the text of a rule. The error says what is wrong where in it, line
// and column from 1; it wraps errCostly where nothing is but what the rule may cost.
func compileRule(text string, at Position) (rule *Condition, err error) {
	defer func() {
		if recover() != nil { // the compiler has panicked on hostile text before
			rule, err = nil, errors.New("the rule does not compile")
		}
	}()
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the rule is empty")
	}
	language, err := ruleLanguage()
	if err != nil {
		return nil, fmt.Errorf("no language for rules: %w", err)
	}
	checked, issues := language.Compile(text)
	if issues.Err() != nil {
		return nil, ruleError(issues.Errors())
	}
	switch result := checked.OutputType(); {
	case result.IsExactType(cel.DynType):
		return nil, errors.New("only the token decides what the rule is: compare it, as in token.claims.admin == true")
	case !result.IsExactType(cel.BoolType):
		return nil, fmt.Errorf("the rule is of type %s, not true or false", cel.FormatCELType(result))
	}
	if err := checkCost(language, checked); err != nil {
		return nil, err
	}
	program, err := language.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("the rule can never be true: %w", err)
	}
	return &Condition{Text: text, At: at, program: program}, nil
}

// ruleError is the first of what the compiler found.
func ruleError(found []*cel.Error) error {
	if len(found) == 0 {
		return errors.New("the rule does not compile")
	}
	first := found[0]
	message, _, _ := strings.Cut(first.Message, " expecting {")
	message = strings.Join(strings.Fields(strings.ReplaceAll(message, "(in container '')", "")), " ")
	if line := first.Location.Line(); line > 0 {
		return fmt.Errorf("at %d:%d of the rule: %s", line, first.Location.Column()+1, message)
	}
	return errors.New(message)
}

// unknownName returns the name that a message of the compiler calls unknown, or "".
func unknownName(message string) string {
	for _, opening := range []string{"undefined field '", "undeclared reference to '"} {
		if _, rest, ok := strings.Cut(message, opening); ok {
			name, _, _ := strings.Cut(rest, "'")
			return name
		}
	}
	return ""
}

// ruleNames lists the variables of rules and all that stands below them, with dots.
var ruleNames = sync.OnceValue(func() []string {
	return namesBelow("", new(durwardv1.RuleContext).ProtoReflect().Descriptor())
})

func namesBelow(prefix string, m protoreflect.MessageDescriptor) []string {
	var names []string
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		name := prefix + string(field.Name())
		names = append(names, name)
		if child := field.Message(); child != nil && child.ParentFile() == m.ParentFile() && !field.IsMap() {
			names = append(names, namesBelow(name+".", child)...)
		}
	}
	return names
}
