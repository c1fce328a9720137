package compile

func (c *compiler) injectTags(tags []string) {}
