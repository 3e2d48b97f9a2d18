package jsonschema

import (
	"fmt"
	"regexp"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// restrict puts the rules of a field into its schema, and says whether they refuse the
// zero value, which is what a key that is not written decodes to.
func (s *schema) restrict(rules *validate.FieldRules) (required bool, err error) {
	if err := onlyKnown(rules.ProtoReflect(), "required", "ignore", "string", "int32", "uint32", "repeated", "duration", "map"); err != nil {
		return false, err
	}
	switch rules.GetType().(type) {
	case nil:
	case *validate.FieldRules_String_:
		required, err = s.restrictString(rules.GetString())
	case *validate.FieldRules_Int32:
		required, err = s.restrictInt(rules.GetInt32())
	case *validate.FieldRules_Uint32:
		required, err = s.restrictUint(rules.GetUint32())
	case *validate.FieldRules_Repeated:
		required, err = s.restrictList(rules.GetRepeated())
	case *validate.FieldRules_Map:
		err = s.restrictMap(rules.GetMap())
	case *validate.FieldRules_Duration:
		err = s.restrictDuration(rules.GetDuration())
	}
	if rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE {
		required = false
	}
	return required || rules.GetRequired(), err
}

func (s *schema) restrictString(r *validate.StringRules) (required bool, err error) {
	if err := onlyKnown(r.ProtoReflect(), "pattern", "min_len", "max_len", "in"); err != nil {
		return false, err
	}
	s.Pattern, s.Enum = r.GetPattern(), r.GetIn()
	s.MinLength, s.MaxLength = r.GetMinLen(), r.GetMaxLen()
	required = s.MinLength > 0 || len(s.Enum) > 0
	if s.Pattern != "" {
		pattern, err := regexp.Compile(s.Pattern)
		if err != nil {
			return false, err
		}
		required = required || !pattern.MatchString("")
	}
	return required, nil
}

func (s *schema) restrictInt(r *validate.Int32Rules) (required bool, err error) {
	if err := onlyKnown(r.ProtoReflect(), "const"); err != nil {
		return false, err
	}
	s.Const = r.GetConst()
	return r.GetConst() != 0, nil
}

func (s *schema) restrictUint(r *validate.UInt32Rules) (required bool, err error) {
	if err := onlyKnown(r.ProtoReflect(), "gte", "lte"); err != nil {
		return false, err
	}
	s.Minimum = new(r.GetGte())
	if r.HasLte() {
		s.Maximum = new(r.GetLte())
	}
	return r.GetGte() > 0, nil
}

func (s *schema) restrictList(r *validate.RepeatedRules) (required bool, err error) {
	if err := onlyKnown(r.ProtoReflect(), "min_items", "max_items", "unique", "items"); err != nil {
		return false, err
	}
	s.MinItems, s.MaxItems, s.UniqueItems = r.GetMinItems(), r.GetMaxItems(), r.GetUnique()
	if r.HasItems() {
		_, err = s.Items.restrict(r.GetItems())
	}
	return s.MinItems > 0, err
}

func (s *schema) restrictMap(r *validate.MapRules) error {
	if err := onlyKnown(r.ProtoReflect(), "max_pairs", "keys", "values"); err != nil {
		return err
	}
	s.MaxProperties = r.GetMaxPairs()
	if r.HasKeys() {
		if _, err := s.PropertyNames.restrict(r.GetKeys()); err != nil {
			return err
		}
	}
	if value, ok := s.AdditionalProperties.(*schema); ok && r.HasValues() {
		_, err := value.restrict(r.GetValues())
		return err
	}
	return nil
}

// restrictDuration holds that durations are not negative, as the pattern says, and
// tells the bounds in words, for a pattern cannot compare.
func (s *schema) restrictDuration(r *validate.DurationRules) error {
	if err := onlyKnown(r.ProtoReflect(), "gte", "gt", "lte"); err != nil {
		return err
	}
	if !r.HasGte() && !r.HasGt() || r.GetGte().AsDuration() < 0 || r.GetGt().AsDuration() < 0 {
		return fmt.Errorf("a duration may be negative")
	}
	if least := r.GetGte().AsDuration(); least > 0 {
		s.Description += fmt.Sprintf(" At least %s.", least)
	}
	if r.HasGt() {
		s.Description += fmt.Sprintf(" More than %s.", r.GetGt().AsDuration())
	}
	if r.HasLte() {
		s.Description += fmt.Sprintf(" At most %s.", r.GetLte().AsDuration())
	}
	return nil
}

// onlyKnown refuses rules that nothing here turns into schema.
func onlyKnown(rules protoreflect.Message, known ...protoreflect.Name) (err error) {
	rules.Range(func(rule protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		for _, name := range known {
			if rule.Name() == name {
				return true
			}
		}
		err = fmt.Errorf("rule %s has no counterpart", rule.FullName())
		return false
	})
	return err
}
